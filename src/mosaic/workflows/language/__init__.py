"""The language of workflow files: which keys there are, how a file is read, and the published JSON Schema."""

from mosaic.workflows.language.workflow import WORKFLOW, workflow_schema

__all__ = ["WORKFLOW", "workflow_schema"]
