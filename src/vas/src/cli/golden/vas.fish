# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vas_global_optspecs
    string join \n v/verbose q/quiet log-format= h/help V/version
end

function __fish_vas_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vas_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vas_using_subcommand
    set -l cmd (__fish_vas_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vas -n "__fish_vas_needs_command" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_needs_command" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_needs_command" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_needs_command" -s h -l help -d 'Print help'
complete -c vas -n "__fish_vas_needs_command" -s V -l version -d 'Print version'
complete -c vas -n "__fish_vas_needs_command" -f -a "run" -d 'Run the service until it is stopped'
complete -c vas -n "__fish_vas_needs_command" -f -a "shard" -d 'Run some of the cameras of a service, for its supervisor'
complete -c vas -n "__fish_vas_needs_command" -f -a "check" -d 'Check a config file and print what it means, with all defaults filled in'
complete -c vas -n "__fish_vas_needs_command" -f -a "plan" -d 'Add up what cameras take of a host and a GPU, and say what does not fit'
complete -c vas -n "__fish_vas_needs_command" -f -a "try" -d 'Connect to a camera, report what it sends, and print a config stanza for it'
complete -c vas -n "__fish_vas_needs_command" -f -a "watch" -d 'Print a line for each frame that a camera exports'
complete -c vas -n "__fish_vas_needs_command" -f -a "snapshot" -d 'Write the newest frame of a camera to a PNG file'
complete -c vas -n "__fish_vas_needs_command" -f -a "status" -d 'Show the state of the service and its cameras'
complete -c vas -n "__fish_vas_needs_command" -f -a "health" -d 'Check whether the service or one of its cameras is healthy'
complete -c vas -n "__fish_vas_needs_command" -f -a "producer-parameters" -d 'Print the argument of MediaSoup\'s plainTransport.produce() for a camera'
complete -c vas -n "__fish_vas_needs_command" -f -a "gate" -d 'Replay recorded frames against models\' subscriptions and print what each would receive'
complete -c vas -n "__fish_vas_needs_command" -f -a "completions" -d 'Print the script that lets your shell complete `vas`'
complete -c vas -n "__fish_vas_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vas -n "__fish_vas_using_subcommand run" -s c -l config -d 'The config file (TOML)' -r -F
complete -c vas -n "__fish_vas_using_subcommand run" -l test-frame-log -d 'Write `DIR/CAMERA.frames`: a line with PTS, size, format and MD5 for each decoded frame' -r -F
complete -c vas -n "__fish_vas_using_subcommand run" -l test-decode-delay -d 'Spend this long, in milliseconds, on each frame on the decode thread' -r
complete -c vas -n "__fish_vas_using_subcommand run" -l test-nvidia-proc -d 'Read this folder in place of NVIDIA\'s /proc/driver/nvidia' -r -F
complete -c vas -n "__fish_vas_using_subcommand run" -l test-shard-program -d 'Run this program, which may be a script, in place of `vas-shard`' -r -F
complete -c vas -n "__fish_vas_using_subcommand run" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand run" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand run" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand shard" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand shard" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand shard" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand shard" -s h -l help -d 'Print help'
complete -c vas -n "__fish_vas_using_subcommand check" -s c -l config -d 'The config file (TOML)' -r -F
complete -c vas -n "__fish_vas_using_subcommand check" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand check" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand check" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand plan" -s c -l config -d 'Plan for the cameras of this config, on this host' -r -F
complete -c vas -n "__fish_vas_using_subcommand plan" -l cameras -d 'Plan for this many cameras that are all alike' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l codec -d 'Their codec: h264 or h265' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l size -d 'Their picture size' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l fps -d 'Their pictures a second, such as 25 or 30000/1001' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l read-fps -d 'The most pictures a second that readers ask for; by default they read every frame' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l gpu -d 'The GPU that decodes: l4, t4, a2, a10, h100 or none; by default that of the host, if one is asked' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l gpu-memory -d 'Device memory of the GPU in MiB, instead of what is known of the model' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l nvdec-engines -d 'NVDEC engines of the GPU, instead of what is known of the model' -r
complete -c vas -n "__fish_vas_using_subcommand plan" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand plan" -l this-host -d 'Compare with this host, and use its GPU; --config implies it'
complete -c vas -n "__fish_vas_using_subcommand plan" -l json -d 'Print JSON (docs/ref/plan.md)'
complete -c vas -n "__fish_vas_using_subcommand plan" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand plan" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand try" -l transport -d 'RTP transport' -r -f -a "auto\t''
tcp\t''
udp\t''"
complete -c vas -n "__fish_vas_using_subcommand try" -l rtsp-client -d 'RTSP client' -r -f -a "auto\t''
retina\t''
ffmpeg\t''"
complete -c vas -n "__fish_vas_using_subcommand try" -l timeout -d 'How long to wait for the camera, and then for its first picture' -r
complete -c vas -n "__fish_vas_using_subcommand try" -s o -l output -d 'Where to write the picture; an existing file is replaced atomically' -r -F
complete -c vas -n "__fish_vas_using_subcommand try" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand try" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand try" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand try" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand watch" -l dir -d 'The export directory: `[export] dir` of the config' -r -F
complete -c vas -n "__fish_vas_using_subcommand watch" -l wait -d 'Wait up to this long for a service or camera that does not exist yet; by default, that is an error' -r
complete -c vas -n "__fish_vas_using_subcommand watch" -l count -d 'Stop after this many frames' -r
complete -c vas -n "__fish_vas_using_subcommand watch" -l timeout -d 'Give up if no frame arrives for this long; by default, wait forever' -r
complete -c vas -n "__fish_vas_using_subcommand watch" -l max-fps -d 'Take at most this many frames per second, such as 5 or 29.97; the service then copies no more than that for this reader' -r
complete -c vas -n "__fish_vas_using_subcommand watch" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand watch" -l json -d 'Print JSON, one object per line'
complete -c vas -n "__fish_vas_using_subcommand watch" -l md5 -d 'Copy each frame and print the MD5 of its pixels, as FFmpeg\'s framemd5 does for nv12'
complete -c vas -n "__fish_vas_using_subcommand watch" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand watch" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand snapshot" -l dir -d 'The export directory: `[export] dir` of the config' -r -F
complete -c vas -n "__fish_vas_using_subcommand snapshot" -l wait -d 'Wait up to this long for a service or camera that does not exist yet; by default, that is an error' -r
complete -c vas -n "__fish_vas_using_subcommand snapshot" -s o -l output -d 'The file to write; an existing one is replaced atomically' -r -F
complete -c vas -n "__fish_vas_using_subcommand snapshot" -l timeout -d 'How long to wait for a frame' -r
complete -c vas -n "__fish_vas_using_subcommand snapshot" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand snapshot" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand snapshot" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand snapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand status" -s c -l config -d 'The service\'s config file; only its `[service] run_dir` is used' -r -F
complete -c vas -n "__fish_vas_using_subcommand status" -l run-dir -d 'The folder of status.json; without this and --config, the default run directory' -r -F
complete -c vas -n "__fish_vas_using_subcommand status" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand status" -l json -d 'Print the file unchanged (docs/ref/status.md), without waiting for rates'
complete -c vas -n "__fish_vas_using_subcommand status" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand status" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand health" -l max-age -d 'Maximum age of the status, which is written every second' -r
complete -c vas -n "__fish_vas_using_subcommand health" -s c -l config -d 'The service\'s config file; only its `[service] run_dir` is used' -r -F
complete -c vas -n "__fish_vas_using_subcommand health" -l run-dir -d 'The folder of status.json; without this and --config, the default run directory' -r -F
complete -c vas -n "__fish_vas_using_subcommand health" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand health" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand health" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand producer-parameters" -s c -l config -d 'The config file (TOML)' -r -F
complete -c vas -n "__fish_vas_using_subcommand producer-parameters" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand producer-parameters" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand producer-parameters" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand producer-parameters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vas -n "__fish_vas_using_subcommand gate" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand gate" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand gate" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand completions" -l log-format -d 'Log format: human-readable, JSON, or journald\'s own with VAS_CAMERA and other fields. `auto` is journald\'s when standard error is connected to it, otherwise human-readable' -r -f -a "auto\t''
human\t''
json\t''
journald\t''"
complete -c vas -n "__fish_vas_using_subcommand completions" -s v -l verbose -d 'Log more: -v debug, -vv trace'
complete -c vas -n "__fish_vas_using_subcommand completions" -s q -l quiet -d 'Log less: -q warnings and errors, -qq errors'
complete -c vas -n "__fish_vas_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "run" -d 'Run the service until it is stopped'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "shard" -d 'Run some of the cameras of a service, for its supervisor'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "check" -d 'Check a config file and print what it means, with all defaults filled in'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "plan" -d 'Add up what cameras take of a host and a GPU, and say what does not fit'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "try" -d 'Connect to a camera, report what it sends, and print a config stanza for it'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "watch" -d 'Print a line for each frame that a camera exports'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "snapshot" -d 'Write the newest frame of a camera to a PNG file'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "status" -d 'Show the state of the service and its cameras'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "health" -d 'Check whether the service or one of its cameras is healthy'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "producer-parameters" -d 'Print the argument of MediaSoup\'s plainTransport.produce() for a camera'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "gate" -d 'Replay recorded frames against models\' subscriptions and print what each would receive'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "completions" -d 'Print the script that lets your shell complete `vas`'
complete -c vas -n "__fish_vas_using_subcommand help; and not __fish_seen_subcommand_from run shard check plan try watch snapshot status health producer-parameters gate completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
