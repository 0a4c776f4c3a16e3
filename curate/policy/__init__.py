"""Norms: what an organisation accepts, as one validated YAML file with a digest."""

from curate.policy.document import Policy, load_policy, policies_folder, policy_names, read_policy
from curate.policy.organisation import AcceptedTerms, Organisation
from curate.policy.prompts import Option, PromptPolicy
from curate.policy.teachers import LicensePolicy
from curate.policy.waivers import Waiver, apply_waivers, is_waivable

__all__ = [
    "AcceptedTerms",
    "LicensePolicy",
    "Option",
    "Organisation",
    "Policy",
    "PromptPolicy",
    "Waiver",
    "apply_waivers",
    "is_waivable",
    "load_policy",
    "policies_folder",
    "policy_names",
    "read_policy",
]
