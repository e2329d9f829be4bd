"""What a cart costs, in cents."""

TAX_PERCENT = 20
DISCOUNTS = {"WELCOME10": 10, "HALF": 50}


def subtotal(lines: list[tuple[int, int]]) -> int:
    """Return the sum of (unit price in cents, quantity) lines."""
    return sum(price * quantity for price, quantity in lines)


def total(lines: list[tuple[int, int]], code: str | None = None) -> int:
    """Return what the customer pays in cents: discount first, then tax."""
    net = subtotal(lines)
    tax = net * TAX_PERCENT // 100
    if code in DISCOUNTS:
        net -= net * DISCOUNTS[code] // 100
    return net + tax
