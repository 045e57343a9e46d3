"""Table programming speed over P4Runtime: batches of entries from a finsy client."""
