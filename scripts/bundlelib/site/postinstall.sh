#!/bin/sh
# Install the packaged bundle; each user then runs: localagent models fetch --from /opt/localagent/bundle/models
exec sh /opt/localagent/bundle/install.sh --prefix /opt/localagent/program --no-models
