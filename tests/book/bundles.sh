{ echo serial_number; seq -f 'SN%06.0f' 0 9; } > devices.csv
certforge run devices.csv --batch b --profile aws-iot-p256-shared
