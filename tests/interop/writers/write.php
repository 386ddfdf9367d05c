<?php
// PHP's writers over source lines on stdin: php write.php FOLDER
$docs = [];
foreach (explode("\n", rtrim(stream_get_contents(STDIN), "\n")) as $line) {
	$d = json_decode($line);
	$d->at = gmdate('c', intdiv($d->at, 1000000));
	$docs[] = $d;
}
function save($name, $flags) {
	global $argv, $docs;
	file_put_contents("$argv[1]/php-$name.json", implode("", array_map(fn($d) => json_encode($d, $flags) . "\n", $docs)));
}
save("encode", 0);
save("unescaped", JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
save("slashes", JSON_UNESCAPED_SLASHES);
save("unicode", JSON_UNESCAPED_UNICODE);
save("lines", JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_LINE_TERMINATORS);
save("pretty", JSON_PRETTY_PRINT);
save("pretty-unescaped", JSON_PRETTY_PRINT | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
save("zero-fraction", JSON_PRESERVE_ZERO_FRACTION);
save("hex", JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT);
