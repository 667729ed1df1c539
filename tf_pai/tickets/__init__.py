"""Lottery tickets: initial weights and masks, and the file that holds them."""

from tf_pai.tickets.file import TicketSize, load_ticket, save_ticket

__all__ = ["TicketSize", "load_ticket", "save_ticket"]
