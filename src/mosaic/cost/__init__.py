"""What model calls cost: prices, the ledger, and hard budgets that concurrent calls cannot pass."""

from mosaic.cost.prices import PriceList
from mosaic.cost.schemas import CostSettings, ModelCall, Reservation, RunCost, TokenPrice
from mosaic.cost.service import Cost

__all__ = ["Cost", "CostSettings", "ModelCall", "PriceList", "Reservation", "RunCost", "TokenPrice"]
