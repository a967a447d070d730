{ echo serial_number; seq -f 'SN%06.0f' 1 100; } > devices.csv
certforge ca new
certforge run devices.csv --batch line-7 --no-endpoint
