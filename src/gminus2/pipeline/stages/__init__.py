"""The stages of a measurement as pipeline steps: each declares what it reads and writes and records its numbers."""
