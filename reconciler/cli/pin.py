"""`loraform pin`: write what stands there now, the generation of data and the commit of a model, into a manifest."""

from __future__ import annotations
