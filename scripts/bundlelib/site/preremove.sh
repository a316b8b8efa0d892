#!/bin/sh
# Remove what postinstall.sh made, but not during an upgrade.
case ${1:-} in 1|upgrade) exit 0 ;; esac
exec sh /opt/localagent/bundle/install.sh --prefix /opt/localagent/program --uninstall
