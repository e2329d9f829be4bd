"""What was set aside for a call."""

from mosaic.cost.accounts import Account

__all__ = ["Hold"]


class Hold:
    """An amount set aside for one call, in every budget above it. `Budgets` ends it, once.

    Attributes:
        nanos: billionths of a dollar; 0 where nobody knows the price.
        tokens: the most tokens the call can use.
        accounts: the budgets it is held in; empty where none applies.
        open: it is still set aside.
    """

    __slots__ = ("accounts", "nanos", "open", "tokens")

    def __init__(self, accounts: tuple[Account, ...], nanos: int, tokens: int) -> None:
        self.accounts = accounts
        self.nanos = nanos
        self.tokens = tokens
        self.open = True
