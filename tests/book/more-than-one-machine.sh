{ echo serial_number; seq -f 'Q-%05.0f' 1 3000; } > devices.csv
certforge ca new --organization 'Pumps Ltd' --to ca
echo 'endpoint = "EXAMPLE-ats.iot.eu-central-1.amazonaws.com"' > certforge.toml
