"""What evaluations take, unless the user says another number."""

from __future__ import annotations

# What decoding importance samples may take at a time, in MiB. More makes CPUs no faster: arrays
# above their caches, which the C library returns when they are freed, cost more than they save.
DECODING_MEMORY = 64
# Importance samples per image of an evaluation, unless the user says another number.
EVALUATION_SAMPLES = 500
