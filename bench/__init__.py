"""Side-by-side measurements of the lab's planes, and the report made from them."""
