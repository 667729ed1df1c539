"""Post-selected masks: lottery tickets (survey 3.2), and their files; importing it registers the methods."""

from tf_pai.tickets import runner  # noqa: F401, registers the track
from tf_pai.tickets.bench import Bench, Routine, Trained
from tf_pai.tickets.changing import reinitialized, shuffled
from tf_pai.tickets.dlth import DLTH
from tf_pai.tickets.e_lth import ELTH
from tf_pai.tickets.early_bird import EarlyBird
from tf_pai.tickets.file import TicketSize, load_ticket, save_ticket
from tf_pai.tickets.find import find_ticket
from tf_pai.tickets.lifelong import Lifelong
from tf_pai.tickets.lth import LTH
from tf_pai.tickets.lth_plus import LTHPlus
from tf_pai.tickets.one_ticket import OneTicket
from tf_pai.tickets.prac import PrAC
from tf_pai.tickets.pretraining import Pretraining
from tf_pai.tickets.ticket import Ticket, ticket_of

__all__ = [
    "DLTH",
    "ELTH",
    "LTH",
    "Bench",
    "EarlyBird",
    "LTHPlus",
    "Lifelong",
    "OneTicket",
    "PrAC",
    "Pretraining",
    "Routine",
    "Ticket",
    "TicketSize",
    "Trained",
    "find_ticket",
    "load_ticket",
    "reinitialized",
    "save_ticket",
    "shuffled",
    "ticket_of",
]
