cp "$BOOK_DATA/line-7.csv" devices.csv
