"""What the fault proof is made of: a fleet that can be killed, seeded schedules, gates in the wire, and the truth."""
