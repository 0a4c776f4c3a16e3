"""Facts about the organisation that licenses ask for: stated once, in the policy, and never guessed."""

from datetime import date

from pydantic import Field

from curate.artifact import Value


class AcceptedTerms(Value):
    """Terms that somebody accepted, registered for or signed: who, which text, and when."""

    license: str = Field(min_length=1)
    """The catalogue id of the license or of the service's terms."""
    text_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the text as it was accepted, as ``sha256sum LICENSE`` prints it."""
    accepted_by: str = Field(min_length=1)
    accepted_on: date


class Organisation(Value):
    """What a license may make depend on who asks. A fact that is not stated leaves what depends on it to a person."""

    territory: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    """Where it is established: an ISO 3166 code such as US, FR or KR; EU for the union as a whole."""
    monthly_active_users: int | None = Field(default=None, ge=0)
    """Of all its products and services together, affiliates included."""
    annual_revenue_usd: int | None = Field(default=None, ge=0)
    """Of the last year in USD, affiliates included."""
    commercial: bool | None = None
    """Whether students are put to commercial use; in-house business use counts."""
    published: bool | None = None
    """Whether students leave the organisation."""
    competes_with: tuple[str, ...] | None = None
    """Catalogue ids of licenses and terms whose licensor it competes with; an empty list says with none."""
    hosts_models: bool | None = None
    """Whether it offers models to others as a service."""
    accepted_terms: tuple[AcceptedTerms, ...] = ()
