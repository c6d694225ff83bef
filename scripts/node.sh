# Begins every command of package.json: where the Node on PATH is too old for Landfall, one that is not comes before it.
node_folder=$(node scripts/setup/node.mjs) || exit
PATH="${node_folder:+$node_folder:}$PATH"
export PATH
