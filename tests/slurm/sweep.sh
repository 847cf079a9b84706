#!/usr/bin/env bash
# A sweep on a Slurm of one node, made from Debian's packages: run by hand as root, not by `make test`.
#   apt-get install slurmctld slurmd slurm-client munge
#   bash tests/slurm/sweep.sh
# Tells "passed" if `lrnn sweep --slurm` makes eight runs in jobs of Slurm. What is started here ends here.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$(mktemp -d)
pids=()
trap 'scancel --user root 2>/dev/null; kill "${pids[@]}" 2>/dev/null; sleep 2; rm -rf "$here" 2>/dev/null || true' EXIT

mkdir -p /run/munge
chown munge: /run/munge
runuser -u munge -- munged --foreground --force 2>"$here/munge.log" &
pids+=($!)

cat > "$here/slurm.conf" <<CONF
ClusterName=small
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
NodeName=localhost CPUs=$(nproc) RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$here/slurm.conf
mkdir "$here/state" "$here/spool"
sleep 1
slurmctld -D 2>/dev/null &
pids+=($!)
slurmd -D -N localhost 2>/dev/null &
pids+=($!)
for _ in $(seq 30); do
  sinfo --noheader --format %T 2>/dev/null | grep -q idle && break
  sleep 1
done
sinfo

cp -r "$root/tests/book/small" "$here/book"
cd "$here/book"
# Where a site says its queue, memory and time: dask's own configuration.
export DASK_JOBQUEUE__SLURM__MEMORY=500MB DASK_JOBQUEUE__SLURM__WALLTIME=00:10:00
export DASK_JOBQUEUE__SLURM__INTERFACE=lo
"$root/.venv/bin/lrnn" sweep 01 -p seed 0:8 --slurm --workers 2
[ "$(ls runs/01_first/*/results.json | wc -l)" = 8 ]
echo passed
