"""What needs a whole pipeline that ran: one demo, and one stack over what it left, for all modules of this folder."""
