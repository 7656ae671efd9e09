# SPDX-License-Identifier: BSL-1.0
#
# Draws what passing data costs, data.svg and data.png, from data.dat in the folder `dir`.
#
#   gnuplot -e "dir='build/bench'" benchmarks/data/data_curve.gnuplot

if (!exists("dir")) dir = "."
data = dir . "/data.dat"

# The program wrote what the title says, as comments. An underscore would lower the next letter.
field(name) = system("sed -n 's/^# " . name . " //p' '" . data . "' | sed 's/_/\\\\_/g'")
machine = field("machine")
date = field("date")
commit = field("commit")
quick = int(field("quick"))

# Colours of Okabe and Ito, which the colour-blind tell apart, and a mark of its own for each.
heading = sprintf("{/:Bold*1.25 A call that is passed an array (medians)}\n{/*0.85 %s · %s · apalis %s%s}", \
                  machine, date, commit, quick ? " · QUICK RUN, MEANS NOTHING" : "")

set encoding utf8
set border 3 lw 1 lc rgb "#444444"
set tics nomirror out scale 0.6 textcolor rgb "#222222"
set grid xtics ytics lc rgb "#d8d8d8" lw 1 dt 1
set logscale xy
set xrange [70 : 1.5e8]
set yrange [50 : *]
set xtics ("100 B" 1e2, "1 kB" 1e3, "10 kB" 1e4, "100 kB" 1e5, "1 MB" 1e6, "10 MB" 1e7, \
           "100 MB" 1e8)
set ytics ("10 ns" 1e1, "100 ns" 1e2, "1 µs" 1e3, "10 µs" 1e4, "100 µs" 1e5, "1 ms" 1e6, \
           "10 ms" 1e7, "100 ms" 1e8)
set xlabel "size of the array"
set ylabel "from the call to its result"
set title heading
set key top left Left reverse samplen 3 spacing 1.2

do for [format in "svg png"] {
  if (format eq "svg") {
    set terminal svg size 900,560 dynamic enhanced font "DejaVu Sans,13" background rgb "white"
  } else {
    set terminal pngcairo size 1350,840 enhanced font "DejaVu Sans,13" fontscale 1.4 \
      linewidth 1.5 pointscale 1.4 background rgb "white"
  }
  set output dir . "/data." . format
  plot \
    data using 1:2 with linespoints lc rgb "#D55E00" lw 1.8 pt 8 ps 0.8 \
      title "std::vector by value", \
    data using 1:3 with linespoints lc rgb "#0072B2" lw 1.8 pt 4 ps 0.8 \
      title "std::span parameter, given the vector", \
    data using 1:4 with linespoints lc rgb "#009E73" lw 4 pt 6 ps 1.5 title "SharedArray", \
    data using 1:5 with linespoints lc rgb "#CC79A7" lw 1.8 pt 10 ps 0.7 title "Ref", \
    data using 1:6 with lines lc rgb "#666666" lw 1.5 dt 2 \
      title "memcpy by the other core, without a call", \
    data using 1:7 with lines lc rgb "#666666" lw 1.5 dt 3 title "call without an array"
  unset output
}
