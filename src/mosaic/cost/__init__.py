"""What model calls cost: prices, the ledger, and hard budgets that concurrent calls cannot pass."""

from mosaic.cost.bookkeeper import Bookkeeper
from mosaic.cost.budget_limits import BudgetLimits
from mosaic.cost.budgets import Budgets
from mosaic.cost.entries import LedgerEntry
from mosaic.cost.holds import Hold
from mosaic.cost.ledger import Ledger
from mosaic.cost.limits import Budget, BudgetSettings, BudgetState, Lease, NewBudget
from mosaic.cost.payer import Payer
from mosaic.cost.price_book import PriceBook
from mosaic.cost.prices import PriceList
from mosaic.cost.quotas import Quota, QuotaEntry, Quotas, QuotaSettings
from mosaic.cost.savings import CATEGORIES, CiUsage, Saving, SavingsReport, of_model_calls
from mosaic.cost.schemas import CostSettings, ModelCall, Reservation, RunCost, TokenPrice
from mosaic.cost.service import Cost
from mosaic.cost.tenant_prices import OwnPrice, OwnPrices
from mosaic.cost.token_cost import TokenCost
from mosaic.cost.usage import DIMENSIONS, BillPage, Forecast, UsageReports, UsageRow

__all__ = [
    "CATEGORIES",
    "DIMENSIONS",
    "BillPage",
    "Bookkeeper",
    "Budget",
    "BudgetLimits",
    "BudgetSettings",
    "BudgetState",
    "Budgets",
    "CiUsage",
    "Cost",
    "CostSettings",
    "Forecast",
    "Hold",
    "Lease",
    "Ledger",
    "LedgerEntry",
    "ModelCall",
    "NewBudget",
    "OwnPrice",
    "OwnPrices",
    "Payer",
    "PriceBook",
    "PriceList",
    "Quota",
    "QuotaEntry",
    "QuotaSettings",
    "Quotas",
    "Reservation",
    "RunCost",
    "Saving",
    "SavingsReport",
    "TokenCost",
    "TokenPrice",
    "UsageReports",
    "UsageRow",
    "of_model_calls",
]
