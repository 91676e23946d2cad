# bash completion for weightfs(1)

_weightfs_options()
{
	local words="ro allow_other commit=close commit=unmount commit-mode=auto
		commit-mode=rewrite commit-mode=patch format= journal= scratch-limit= xattr"
	local before="" last="$1"
	if [[ $last == *,* ]]; then
		before="${last%,*},"
		last="${last##*,}"
	fi
	mapfile -t COMPREPLY < <(compgen -P "$before" -W "$words" -- "$last")
	compopt -o nospace
}

_weightfs_paths()
{
	local model="$1" word="$2"
	local paths
	paths=$("${COMP_WORDS[0]}" --list "$model" 2>/dev/null |
		awk -F '\t' '$2 == "json" { print $1; next }
			$2 != "link" { print $1 ".bin"; print $1 ".json" }')
	local IFS=$'\n'
	mapfile -t COMPREPLY < <(compgen -W "$paths" -- "$word")
}

_weightfs()
{
	local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
	local verb="${COMP_WORDS[1]}"

	if [[ $before == -o ]]; then
		_weightfs_options "$word"
	elif [[ $word == -* && $COMP_CWORD -eq 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W "-f -d -o -h -V --list --get --put
			--compare --stat --unmount --errors --recover --formats --help --version" -- "$word")
	elif [[ $verb == --compare && $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--stat --name-only --json --layers
			--tolerance" -- "$word")
	elif [[ $verb == --stat && $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--sort=name --sort=size" -- "$word")
	elif [[ $verb == --get || $verb == --put ]] && ((COMP_CWORD == 3)); then
		_weightfs_paths "${COMP_WORDS[2]}" "$word"
	elif [[ $verb == --unmount || $verb == --errors ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(awk '$3 == "fuse.weightfs" { print $2 }' \
			/proc/mounts)" -- "$word")
	else
		compopt -o default
	fi
}

complete -F _weightfs weightfs
