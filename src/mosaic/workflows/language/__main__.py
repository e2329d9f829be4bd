"""Write the published JSON Schema again: ``python -m mosaic.workflows.language``."""

import json
from pathlib import Path

from mosaic.workflows.language.workflow import workflow_schema

if __name__ == "__main__":
    target = Path(__file__).parents[1] / "workflow.schema.json"
    target.write_text(json.dumps(workflow_schema(), indent=1) + "\n", encoding="utf-8")
