# Ruby's writers over source lines on stdin: ruby write.rb FOLDER
require "json"
require "time"
docs = $stdin.each_line.map { |l| JSON.parse(l) }
docs.each { |d| d["at"] = Time.at(d["at"] / 1_000_000, d["at"] % 1_000_000, :usec).utc.iso8601(3) }
save = ->(name, text) { File.binwrite("#{ARGV[0]}/ruby-#{name}.json", text) }
save["generate", docs.map { |d| JSON.generate(d) + "\n" }.join]
save["pretty", docs.map { |d| JSON.pretty_generate(d) + "\n" }.join]
save["ascii", docs.map { |d| JSON.generate(d, ascii_only: true) + "\n" }.join]
save["script-safe", docs.map { |d| JSON.generate(d, escape_slash: true) + "\n" }.join]
