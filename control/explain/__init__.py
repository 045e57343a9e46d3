"""Explain: what the installed entries do with a packet, stage by stage, in operators' words."""

from control.explain.question import Question, parse_question
from control.explain.tables import Tables
from control.explain.trace import Step, Way, trace

__all__ = ["Question", "Step", "Tables", "Way", "parse_question", "trace"]
