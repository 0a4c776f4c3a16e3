"""What the body of a card says beside its tags; ``DETECTORS`` at the foot names every detector.

Each is a function from a reading to statements, each with its sentence; a statement can only make a verdict stricter.
"""

from collections.abc import Callable, Iterator

from curate.licenses.prose_outputs import linked_data, named_data, service_terms, trained_on_outputs
from curate.licenses.prose_parents import named_parents
from curate.licenses.prose_terms import leaked_weights, named_licenses, restricted_use
from curate.licenses.statements import Reading, Statement

DETECTORS: dict[str, Callable[[Reading], Iterator[Statement]]] = {
    function.__name__: function
    for function in (
        trained_on_outputs,
        service_terms,
        named_data,
        linked_data,
        named_parents,
        restricted_use,
        named_licenses,
        leaked_weights,
    )
}
