"""Mininet nodes, lab topologies as data, and the lab that runs them."""
