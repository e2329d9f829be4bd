"""What every room may use: ids, time, context, errors, money, pages, JSON values, redaction."""
