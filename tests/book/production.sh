{ echo serial_number; seq -f 'SN%06.0f' 1 100; } > devices.csv
