#!/bin/sh
# Stands for a script that flashes a device.
ls "$CERTFORGE_BUNDLE_DIR"
