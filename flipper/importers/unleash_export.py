# SPDX-License-Identifier: Apache-2.0
"""Turns an export of Unleash into what its client API replies.

Source: the schema of exports in the description of Unleash's admin API. An export has
the flags of one environment, and its segments have names only.
"""

from __future__ import annotations

from typing import Any


def without_export(data: Any) -> Any:
    """Return the content of an export as a reply of the client API has it.

    Any other data is returned as it is.
    """
    if not isinstance(data, dict) or "featureStrategies" not in data:
        return data
    states = {
        each.get("featureName") or each["name"]: each
        for each in data.get("featureEnvironments") or ()
    }
    dependencies = {
        each["feature"]: each["dependencies"] for each in data.get("dependencies") or ()
    }
    features = []
    for feature in data["features"]:
        name = feature["name"]
        state = states.get(name, {"enabled": False})
        strategies = [s for s in data["featureStrategies"] if s["featureName"] == name]
        features.append(
            {
                "name": name,
                "enabled": state["enabled"],
                "strategies": sorted(strategies, key=_place),
                "variants": state.get("variants") or feature.get("variants"),
                "dependencies": dependencies.get(name),
            }
        )
    return {"features": features, "segments": data.get("segments")}


def _place(strategy: dict[str, Any]) -> Any:
    return strategy.get("sortOrder") or 0
