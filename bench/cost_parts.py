"""What the cost model knows besides seconds: bytes a row carries from stage to stage, and how uneven its shares are.

Measured on made prompts, in a process of its own, by ``bench/cost_model.py --measure``.
"""

import json
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
from corpora import made_prompts

SIZES = 30_000, 100_000, 300_000
SHARE = 10_000
"""Rows of a share when a search in shares is tried."""
PARTITIONS = 64
"""Shares that a shuffle is cut into."""


def measure_parts(count):
    """Bytes a row and unevenness, of so many made prompts."""
    from curate.prompts.embed import load_embedder
    from curate.prompts.forms import loose_form
    from curate.prompts.minhash import signatures
    from curate.prompts.wording import bare_form

    texts = made_prompts(count)
    forms = list(dict.fromkeys(bare_form(loose_form(text)) for text in texts))
    signed = signatures(forms)
    vectors = load_embedder("default").encode(forms)
    return {
        "rows": count,
        "bytes": row_bytes(texts, signed, vectors),
        "bands": band_shares(signed),
        "cells": cell_shares(vectors),
        "searches": search_shares(vectors),
    }


def row_bytes(texts, signed, vectors):
    """Bytes a row of what a stage reads, sends or keeps; arrays by their sizes, files written and weighed."""
    import pyarrow as pa
    from pyarrow import parquet

    from curate.prompts.keys import KEY_BYTES
    from curate.prompts.minhash import BANDS

    number = np.dtype(np.int64).itemsize
    lines = sum(
        len(json.dumps({"id": f"r{row}", "prompt": text, "source": "made", "license": "Apache-2.0"})) + 1
        for row, text in enumerate(texts)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept.parquet"
        columns = {
            "id": [f"r{row}" for row in range(len(texts))],
            "prompt": texts,
            "source": ["made"] * len(texts),
            "license": ["Apache-2.0"] * len(texts),
        }
        parquet.write_table(pa.table(columns), path, compression="zstd")
        packed = path.stat().st_size
    vector = vectors.nbytes / len(vectors)
    return {
        "read: a line of JSON": lines / len(texts),
        "read: the text alone, UTF-8": sum(len(text.encode()) for text in texts) / len(texts),
        "exact: hash and row number, sent": KEY_BYTES + number,
        "near: signature, kept": signed.nbytes / len(signed),
        "near: a key that ends in a row number, for each band, sent": BANDS * number,
        "semantic: vector, kept": vector,
        "semantic: vector and row number for each of 4 clusters, sent": 4 * (vector + number),
        "write: Parquet, zstd": packed / len(texts),
    }


def band_shares(signed):
    """Buckets of all bands: pairs a row with and without the bound on neighbours, the largest, the fullest share."""
    from curate.prompts.minhash import BANDS, LAGS, band_keys, band_of

    pairs = bounded = largest = 0
    shares = np.zeros(PARTITIONS)
    for band in range(BANDS):
        keys, sizes = np.unique(band_keys(band_of(signed, band)), return_counts=True)
        pairs += int((sizes * (sizes - 1) // 2).sum())
        bounded += int(sum(np.maximum(sizes - lag, 0).sum() for lag in range(1, LAGS + 1)))
        largest = max(largest, int(sizes.max()))
        shares += np.bincount((keys >> np.uint64(40)).astype(np.int64) % PARTITIONS, sizes, PARTITIONS)
    rows = len(signed)
    return {
        "pairs_a_row": pairs / rows,
        "bounded_pairs_a_row": bounded / rows,
        "largest_bucket": largest,
        "fullest_share": float(shares.max() / shares.mean()),
    }


def cell_shares(vectors):
    """Clusters as the semantic filter forms them: the largest against the mean, and the pairs against even clusters."""
    from curate.prompts.cells import form_cells

    cells = list(form_cells(vectors, np.arange(len(vectors)), 6)[1])
    sizes = np.array([len(cell.members) for cell in cells], dtype=np.float64)
    visits = np.array([len(cell.visitors) for cell in cells], dtype=np.float64)
    return {
        "largest": float(sizes.max() / sizes.mean()),
        "pairs": float((sizes * (sizes / 2 + visits)).mean() / (sizes.mean() * (sizes.mean() / 2 + visits.mean()))),
        "visits": float(visits.sum() / sizes.sum()),
    }


def pairs_within(vectors, threshold):
    """(pairs, 2) all pairs at or above a threshold."""
    from curate.prompts.clusters import similar_pairs

    found = [pairs for pairs, _ in similar_pairs(vectors, threshold)]
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)


def search_shares(vectors, threshold=0.92):
    """One search of the whole against one in shares: each row joins the two nearest of rows ÷ ``SHARE`` centers."""
    from curate.prompts.neighbors import find_centers, top_neighbors

    rows = len(vectors)
    started = process_time()
    pairs = pairs_within(vectors, threshold)
    whole, started = process_time() - started, process_time()
    joined = top_neighbors(vectors, find_centers(vectors, round(rows / SHARE)), 2)[1]
    shares = [np.flatnonzero((joined == share).any(axis=1)) for share in np.unique(joined)]
    found = [np.zeros(0, dtype=np.int64)]
    for share in shares:
        inside = pairs_within(vectors[share], threshold)
        found.append(share[inside[:, 0]] * rows + share[inside[:, 1]])
    took = process_time() - started
    known = np.isin(pairs[:, 0] * rows + pairs[:, 1], np.concatenate(found))
    sizes = np.array([len(share) for share in shares])
    return {
        "whole_s": whole,
        "shares": len(shares),
        "shares_s": took,
        "found": float(known.mean()),
        "largest": float(sizes.max() / sizes.mean()),
    }
