. "$(dirname "$BOOK_DATA")/book/ledger.sh"
