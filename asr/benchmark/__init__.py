"""`asr benchmark`: error rates, speed, delay, memory and sizes of this recogniser and of its peers, on the same files."""
