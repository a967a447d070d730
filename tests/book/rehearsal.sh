cp "$BOOK_DATA/line-7.csv" devices.csv
certforge ca new --common-name 'certforge device CA'
certforge run devices.csv --batch pumps --endpoint EXAMPLE-ats.iot.us-east-1.amazonaws.com
certforge jitp template new > template.json
