"""JSON schemas by chance."""

from __future__ import annotations

import random
from typing import Any


def make_schema(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    """A schema of objects within objects, whose answers have an end. `depth`: how many are around it."""
    kinds = ["integer", "string", "boolean", "null", "enum", "pattern"]
    if depth < 2:
        kinds += ["object", "object", "array", "anyOf"]
    match chance.choice(kinds) if depth else "object":
        case "integer":
            low = chance.randint(-50, 50)
            return {"type": "integer", "minimum": low, "maximum": low + chance.randint(0, 1000)}
        case "string":
            return {"type": "string", "maxLength": chance.randint(0, 12)}
        case "enum":
            return {"enum": chance.sample(["red", "green", "blue", 1, 2, None, True], chance.randint(1, 5))}
        case "pattern":
            return {"type": "string", "pattern": chance.choice(["^[a-c]{1,3}$", "^\\d{4}-\\d{2}$", "^(yes|no)$"])}
        case "object":
            names = chance.sample("abcdefgh", chance.randint(1, 4))
            required = [name for name in names if chance.random() < 0.7]
            fields = {name: make_schema(chance, depth + 1) for name in names}
            return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
        case "array":
            least = chance.randint(0, 2)
            inside = make_schema(chance, depth + 1)
            return {"type": "array", "items": inside, "minItems": least, "maxItems": least + chance.randint(0, 2)}
        case "anyOf":
            return {"anyOf": [make_schema(chance, depth + 1) for _ in range(2)]}
        case plain:
            return {"type": plain}
