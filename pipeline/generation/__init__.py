"""Makes a data set of any kind with Beam: job, runners, shards, work folder, output directory."""
