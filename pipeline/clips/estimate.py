"""Estimates a data set of clips by decoding some of them."""

from __future__ import annotations

import time

from pipeline.clips.clip_reader import ClipReader
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.sources import Listing
from pipeline.definition import SourceEstimate

_SECONDS = 5.0
_MOST_CLIPS = 64


def estimate(listing: Listing, reader: ClipReader, stops_at_bad: bool) -> SourceEstimate:
    """Decode clips, spread over the listing, for about five seconds, and extrapolate by the files' sizes.

    Args:
        listing: the clips.
        reader: decodes one.
        stops_at_bad: whether a bad clip ends the generation, which is then told.
    """
    sources = listing.sources
    count = min(len(sources), _MOST_CLIPS)
    sampled = [sources[place * len(sources) // count] for place in range(count)]
    entries, size, start = [], 0, time.perf_counter()
    with Decoder() as decoder:
        for source in sampled:
            entries.append(reader.read(source, decoder, len))
            size += source.size
            if time.perf_counter() - start > _SECONDS:
                break
    seconds = time.perf_counter() - start
    used = [entry for entry in entries if not entry.reason]
    bad = [entry for entry in entries if entry.reason or entry.damage]
    factor = sum(source.size for source in sources) / size if size else len(sources) / len(entries)
    lines = [f"  clips        {len(sources):,}, of which {len(entries)} were decoded for this estimate"]
    if listing.ignored:
        lines.append(f"  ignored      {len(listing.ignored):,} other files")
    lines += [f"  bad          {entry.source.name}: {entry.reason or entry.damage}" for entry in bad[:5]]
    if bad and stops_at_bad:
        lines.append("               generation will stop there: mend or remove, or add --on_bad_clip skip")
    return SourceEstimate(
        lines,
        max(1, round(factor * sum(len(entry.records) for entry in used))),
        round(factor * sum(entry.num_bytes for entry in used)),
        factor * seconds,
    )
