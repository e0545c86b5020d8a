"""What implementations that are not ours say of Sealkeep. Run by deploy/interop/run.sh; nothing here is product code."""
