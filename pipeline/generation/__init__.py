"""Makes a data set of any kind with Beam: job, runners, shards, reports, work folder, output directory."""
