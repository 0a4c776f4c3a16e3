"""Small real values for the report's tests: a denied teacher, a prompt set of two hundred rows, a distillation."""

import math
import random
from datetime import date

from curate.distillation.config import AttentionTerm, DistillConfig, FeatureTerm, KdTerm, LossConfig, StudentConfig
from curate.distillation.results import ExamPoint, Footprint, LossPoint, Quality, TrainingReport
from curate.gate import Evidence, Finding, Verdict, settle
from curate.licenses.decision import Case, Decision, Lineage, LineageLink, LineageNode, PolicyRef
from curate.prompts.drops import Drop
from curate.prompts.results import (
    Cluster,
    DiversityReport,
    EmbedderRef,
    FilterCount,
    FilterReport,
    Metric,
    PromptAnalysis,
    PromptDecision,
    Sample,
    ShiftReport,
)

HOSTILE = "<script>alert('x')</script> \x1b[31mred \u202eevil\u202c \"onload=\" {{ 7 * 7 }} javascript:alert(1)"
DAY = date(2026, 11, 20)
SHA = {name: (name.encode().hex() + "0" * 64)[:64] for name in ("card", "policy", "catalogue", "rows", "model", "ref")}
EMBEDDER = EmbedderRef(spec="default", name="hashed-ngrams", sha256=SHA["model"], dimensions=256)

FINDINGS = (
    Finding(
        rule="license-denied",
        subject="meta-llama/Llama-3.1-8B",
        verdict=Verdict.DENY,
        message="The Llama 3.1 Community License lets outputs improve other models only if their name begins with "
        "Llama and they carry the license on; the policy denies the family.",
        evidence=(
            Evidence(source="catalogue: llama3.1", section="1.b.i", read_on="2026-10-02", confidence="text"),
            Evidence(
                source="meta-llama__Llama-3.1-8B/README.md", quote="license: llama3.1", line=12, sha256=SHA["card"]
            ),
        ),
    ),
    Finding(
        rule="license-mismatch",
        subject="acme/Helper-8B-Instruct",
        verdict=Verdict.REVIEW,
        message="The card claims MIT, but the base model's license does not allow to relicense it.",
        evidence=(Evidence(source="README.md", quote="license: mit", line=3, sha256=SHA["card"]),),
    ),
    Finding(
        rule="generated-data",
        subject="dataset:acme/helper-chats",
        verdict=Verdict.REVIEW,
        message="The data set's card says that answers were written by GPT-4.",
        evidence=(
            Evidence(source="README.md", quote="Responses were generated with GPT-4 and lightly edited.", line=41),
            Evidence(source="catalogue: openai-terms", section="2(c)(iii)", confidence="excerpt"),
        ),
        waived_by="R. Muster on 2026-11-01, until 2027-01-31: answers were removed, only the questions are used",
    ),
    Finding(
        rule="license-allowed",
        subject="dataset:databricks/databricks-dolly-15k",
        verdict=Verdict.ALLOW,
        message="CC BY-SA 3.0 was read from the card.",
        evidence=(Evidence(source="README.md", quote="license: cc-by-sa-3.0", line=2),),
    ),
)


def denied_decision() -> Decision:
    """An MIT-tagged teacher over a Llama base."""
    nodes = tuple(
        LineageNode(
            ref=ref, kind="dataset" if ref.startswith("dataset:") else "model", license=license_id, status=status,
            verdict=Verdict(verdict),
        )
        for ref, license_id, status, verdict in (
            ("acme/Helper-8B-Instruct", "mit", "read", "review"),
            ("meta-llama/Llama-3.1-8B", "llama3.1", "known", "deny"),
            ("dataset:acme/helper-chats", "apache-2.0", "read", "allow"),
            ("dataset:databricks/databricks-dolly-15k", "cc-by-sa-3.0", "read", "allow"),
            ("acme/lost-adapter", "", "missing", "review"),
        )
    )  # fmt: skip
    links = (
        LineageLink(child="acme/Helper-8B-Instruct", parent="meta-llama/Llama-3.1-8B", relation="finetune"),
        LineageLink(child="acme/Helper-8B-Instruct", parent="dataset:acme/helper-chats", relation="dataset"),
        LineageLink(
            child="dataset:acme/helper-chats", parent="dataset:databricks/databricks-dolly-15k", relation="base"
        ),
        LineageLink(child="acme/Helper-8B-Instruct", parent="acme/lost-adapter", relation="adapter"),
    )
    return Decision(
        ref="acme/Helper-8B-Instruct",
        revision="9f1c2ab0d4e5f60718293a4b5c6d7e8f90a1b2c3",
        case=Case(student_name="acme/tiny-helper"),
        verdict=settle(FINDINGS),
        findings=FINDINGS,
        obligations=(
            "Llama 3.1 Community License: the student's name begins with “Llama”.",
            "Llama 3.1 Community License: “Built with Llama” is shown on a related page.",
        ),
        lineage=Lineage(nodes=nodes, links=links),
        policy=PolicyRef(name="default", sha256=SHA["policy"]),
        catalogue_sha256=SHA["catalogue"],
        decided_on=DAY,
        curate_version="0.1.0",
    )


def allowed_decision() -> Decision:
    """A small model under Apache-2.0, with nothing against it."""
    ref = "acme/embedded-teacher"
    finding = Finding(
        rule="license-allowed",
        subject=ref,
        verdict=Verdict.ALLOW,
        message="Apache-2.0 allows training on outputs and distilling from weights.",
        evidence=(Evidence(source="README.md", quote="license: apache-2.0", line=2, sha256=SHA["card"]),),
    )
    node = LineageNode(ref=ref, kind="model", license="apache-2.0", verdict=Verdict.ALLOW, sha256=SHA["card"])
    return denied_decision().model_copy(
        update={
            "ref": ref, "revision": "", "verdict": Verdict.ALLOW, "findings": (finding,),
            "obligations": ("Apache-2.0 §4: pass on the license and its notices.",), "lineage": Lineage(nodes=(node,)),
        }
    )  # fmt: skip


INTENTS = (
    "I lost my card on the train, how do I block it",
    "why was my transfer to Poland declined",
    "can you tell me the exchange rate for euros today",
    "how do I change the address on my account",
    "my top up has not arrived yet",
    "please explain the fee for withdrawing cash abroad",
)
CLUSTER_WORDS = (
    ("card", "lost", "block"),
    ("transfer", "declined"),
    ("exchange", "rate", "euros"),
    ("address", "account"),
)


def prompt_samples(rows: int = 200, hostile: str = "") -> tuple[Sample, ...]:
    """Points in six clouds, some of them the reference's, some dropped."""
    chance = random.Random(7)
    groups = ["kept"] * 12 + ["reference"] * 5 + ["near", "near", "semantic", "garbage", "pii"]
    samples = []
    for i in range(rows):
        topic = i % len(INTENTS)
        x, y = math.cos(topic) * 4 + chance.gauss(0, 0.7), math.sin(topic * 1.7) * 3 + chance.gauss(0, 0.6)
        text = hostile or f"{INTENTS[topic]} ({i})"
        samples.append(Sample(x=x, y=y, text=text, group=chance.choice(groups)))
    return tuple(samples)


def diversity_report(rows: int = 200, hostile: str = "") -> DiversityReport:
    """How varied the two hundred prompts are."""
    words = (hostile, "card") if hostile else CLUSTER_WORDS[0]
    clusters = (words, *CLUSTER_WORDS[1:])
    return DiversityReport(
        prompts_sha256=SHA["rows"],
        embedder=EMBEDDER,
        rows=rows,
        subsample=min(rows, 1000),
        seed=0,
        metrics={
            "vendi": Metric(value=41.7, low=38.2, high=44.9),
            "mean_distance": Metric(value=0.8123, low=0.80, high=0.83),
            "distinct_2": Metric(value=0.614),
            "language_entropy": Metric(value=None, note=hostile or "one language only"),
        },
        clusters=tuple(Cluster(words=w, share=s) for w, s in zip(clusters, (0.4, 0.3, 0.2, 0.1), strict=True)),
        similarity_histogram=(0, 0, 0, 1, 2, 4, 9, 14, 19, 22, 25, 27, 24, 19, 13, 9, 6, 3, 2, 1),
        quality_histogram=(3, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 6, 8, 9, 12, 15, 19, 24, 33, 60),
        notes=(hostile or "31% of the rows have a twin (cosine ≥ 0.95), which mean_pairwise_distance cannot see",),
        map=prompt_samples(rows, hostile),
        wall_s=1.25,
    )


def prompt_analysis(hostile: str = "") -> PromptAnalysis:
    """What analyze-prompts says of some two hundred answers."""
    low = Finding(
        rule="low-quality", subject="prompts", verdict=Verdict.DENY,
        message=hostile or "usable_share is 0.84; the policy wants at least 0.9",
    )  # fmt: skip
    metrics = {
        "vendi": Metric(value=41.7, low=38.2, high=44.9),
        "cluster_entropy": Metric(value=0.91),
        "reference_coverage": Metric(value=0.97),
        "mean_nn_similarity": Metric(value=0.61),
        "usable_share": Metric(value=0.84),
        "quality": Metric(value=0.88),
    }
    return PromptAnalysis(
        rows=200,
        diversity=diversity_report(200, hostile).model_copy(update={"metrics": metrics}),
        filters=filter_report().filters,
        answers={"empty": 2, "refused": 27, "cut off": 3, "looping": 0},
        findings=(low,),
        policy_sha256=SHA["policy"],
    )


def shift_report() -> ShiftReport:
    """How far they lie from the reference."""
    return ShiftReport(
        prompts_sha256=SHA["rows"],
        reference_sha256=SHA["ref"],
        embedder=EMBEDDER,
        rows=180,
        reference_rows=60,
        subsample=60,
        seed=0,
        metrics={
            "mmd": Metric(value=0.0132, low=0.009, high=0.018),
            "auc": Metric(value=0.571, low=0.52, high=0.62),
            "coverage": Metric(value=0.93),
        },
        clusters=tuple(
            Cluster(words=words, share=share, reference_share=reference)
            for words, share, reference in zip(CLUSTER_WORDS, (0.4, 0.3, 0.2, 0.1), (0.25, 0.3, 0.15, 0.3), strict=True)
        ),
    )


def filter_report(hostile: str = "") -> FilterReport:
    """Two hundred rows through five filters."""
    drops = [
        Drop(id=str(i), filter="near", reason="shares 5-grams with a row before it", score=0.91, because_of=str(i - 1))
        for i in range(20)
    ]
    drops += [
        Drop(id=f"s{i}", filter="semantic", reason="means what another row means", score=0.97, because_of="3")
        for i in range(9)
    ]
    drops.append(Drop(id="77", filter="pii", reason=hostile or "holds an e-mail address"))
    return FilterReport(
        prompts_sha256=SHA["rows"],
        embedder=EMBEDDER,
        rows_read=212,
        rows_unreadable=2,
        rows_kept=180,
        filters=(
            FilterCount(name="exact", rows_in=210, dropped=0),
            FilterCount(name="near", options={"threshold": 0.8}, rows_in=210, dropped=20),
            FilterCount(name="semantic", options={"threshold": 0.95}, rows_in=190, dropped=9),
            FilterCount(name="pii", rows_in=181, dropped=1),
        ),
        drops=tuple(drops),
        whole_chain=True,
        wall_s=0.84,
    )  # fmt: skip


def prompt_decision(verdict: Verdict = Verdict.ALLOW) -> PromptDecision:
    """The policy's bounds on what was kept."""
    findings = (
        Finding(
            rule="enough-rows", subject="prompts", verdict=Verdict.ALLOW, message="180 prompts, at least 100 asked"
        ),
        Finding(rule="at_least: vendi", subject="prompts", verdict=verdict, message="vendi is 41.7, at least 30 asked"),
    )
    return PromptDecision(
        file_sha256=SHA["rows"], rows=180, verdict=settle(findings), findings=findings,
        obligations=("CC BY 4.0: name PolyAI, BANKING77.",), filter_sha256=SHA["rows"], diversity_sha256=SHA["rows"],
        shift_sha256=SHA["ref"], policy_sha256=SHA["policy"], decided_on=DAY, curate_version="0.1.0",
    )  # fmt: skip


def training_report(steps: int = 240, with_kd: bool = True, hostile: str = "") -> TrainingReport:
    """A student of a third, taught with all four terms."""
    chance = random.Random(3)
    curve = []
    for step in range(0, steps + 1, 2):
        fall = math.exp(-step / 60)
        noise = 1 + chance.gauss(0, 0.06)
        terms = {
            "task": (0.4 + 5.2 * fall) * noise, "kd": (0.02 + 3.1 * fall) * noise,
            "feature": (0.12 + 0.8 * fall) * noise, "attention": (0.003 + 0.4 * fall) * noise,
        }  # fmt: skip
        total = terms["task"] + terms["kd"] + terms["feature"] + 0.1 * terms["attention"]
        curve.append(LossPoint(step=step, total=total, terms=terms, learning_rate=1e-3, tokens_per_s=5120.0))
    losses = LossConfig(task=1.0, kd=KdTerm(), feature=FeatureTerm(weight=1.0), attention=AttentionTerm(weight=0.1))
    return TrainingReport(
        config=DistillConfig(student=StudentConfig(name="acme/tiny-helper", keep_layers=(0, 2, 5)), losses=losses),
        teacher_ref="acme/embedded-teacher",
        teacher_decision_sha256=SHA["card"],
        dataset_decision_sha256=SHA["rows"],
        prompts_trained=1620,
        prompts_held_out=180,
        answers_from_file=900,
        answers_from_teacher=720,
        steps=steps,
        tokens=48_300,
        curve=tuple(curve),
        balance={"feature": 40.63, "attention": 0.3239},
        exams=tuple(
            ExamPoint(step=at, quality=Quality(perplexity=1.6 + 4 / (at + 1), kl_to_teacher=0.09 + 2 / (at + 1)))
            for at in range(0, steps + 1, 60)
        ),
        teacher=Quality(perplexity=1.42, kl_to_teacher=0.0, top1_agreement=1.0, accuracy=0.861, reverse_kl=0.0),
        before=Quality(perplexity=912.4, kl_to_teacher=5.913, top1_agreement=0.071, accuracy=0.0, reverse_kl=7.2),
        after=Quality(
            perplexity=1.61,
            kl_to_teacher=0.094 if with_kd else 0.212,
            top1_agreement=0.943,
            accuracy=0.817,
            reverse_kl=0.117,
            domains={hostile or "banking": Quality(accuracy=0.83), "travel": Quality(accuracy=0.77)},
        ),
        footprints={
            "teacher": Footprint(
                parameters=6_912_000, bytes=13_900_000, ms_per_token=2.84, peak_memory_bytes=61_000_000
            ),
            "student": Footprint(
                parameters=2_240_000, bytes=4_500_000, ms_per_token=1.02, peak_memory_bytes=24_500_000
            ),
        },
        student_sha256=SHA["model"],
        tokens_per_s=5120.0,
        wall_s=94.2,
        versions={"torch": "2.13.0", "transformers": "5.1.0"},
        machine={"cpu": "2 cores", "platform": "linux"},
    )
