"""Mininet nodes, lab topologies as data, and the lab that runs them."""

import logging

import mininet.log

# Importing mininet.log makes every logger that is created later print to the terminal.
logging.setLoggerClass(logging.Logger)
mininet.log.setLogLevel("output")  # what commands print, without the chatter of "info"
