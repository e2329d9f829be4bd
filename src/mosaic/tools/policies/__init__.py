"""An installation's policy for tool calls: rules, permissions, standing answers, limits, and their versions."""

from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.files import PERMISSIONS_NAME, POLICY_NAMES, LoadedPolicy, policy_of, read_policy
from mosaic.tools.policies.judging import PolicyJudge
from mosaic.tools.policies.schemas import PolicyVersion, StandingRule
from mosaic.tools.policies.standing import StandingRules
from mosaic.tools.policies.versions import PolicyVersions

__all__ = [
    "PERMISSIONS_NAME",
    "POLICY_NAMES",
    "LoadedPolicy",
    "PolicyCall",
    "PolicyJudge",
    "PolicyVersion",
    "PolicyVersions",
    "StandingRule",
    "StandingRules",
    "policy_of",
    "read_policy",
]
