printf 'serial_number;country;site\nPUMP-0001;DE;Bochum\nPUMP-0002;DE;Halle #3\nPUMP/0003;DE;Bochum\nPUMP-0001;DE;Bochum\n' > bad.csv
