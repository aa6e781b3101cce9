"""What a machine costs an hour: a short table of list prices, which `prices:` in loraform.yaml corrects and completes.

The table is for noticing what stands idle, not for accounts. It holds Compute Engine's on-demand prices in us-central1;
Vertex AI's own are higher (for machines by some 15 %), other regions differ, and discounts are nobody's business here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CURRENCY = "USD"
DATE = "2026-02"
SOURCE = f"Compute Engine list prices as quoted in {DATE}, without Vertex AI's surcharge"
YOURS = "prices of loraform.yaml"
REGION = "us-central1"

HOURLY: Mapping[str, float] = MappingProxyType(
    {
        "a2-highgpu-1g": 3.67,
        "a2-ultragpu-1g": 5.07,
        "a3-highgpu-1g": 11.06,
        "a3-highgpu-8g": 88.49,
        "g2-standard-8": 0.85,
        "g2-standard-12": 1.00,
        "g2-standard-48": 4.00,
        "n1-standard-4": 0.19,
        "n1-standard-8": 0.38,
    }
)
"""USD an hour, of machines with the accelerators that are part of them. What is not here has no price."""
