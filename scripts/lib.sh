# SPDX-License-Identifier: BSL-1.0
# shellcheck shell=bash
#
# What ./scripts/test and ./scripts/bench share; they source it.
#
#   APALIS_NO_INSTALL=1   install nothing; go on with what is there
#   CXX                   the compiler, if not the system's
#   CMAKE_PREFIX_PATH, Boost_ROOT, cereal_ROOT, fmt_ROOT, Catch2_ROOT   where else to look

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Every core that we may use, unless memory is scarce: a translation unit of ours takes up to 1 GB.
jobs_() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1000000) }' /proc/meminfo)
  [ -n "$memory" ] && [ "$memory" -lt "$cores" ] && cores=$((memory > 0 ? memory : 1))
  echo "$cores"
}

# --- What is missing ------------------------------------------------------------------------------

compiler_() {
  if [ -n "${CXX:-}" ]; then
    echo "$CXX"
  else
    command -v c++ || command -v g++ || true
  fi
}

# missing_ DEPENDENCY...: prints those that are not here. Looks for programs and headers rather than
# for packages, so that one built by hand will do. One run of the preprocessor finds all headers.
missing_() {
  local compiler name header condition prefix query=''
  local -a places=()
  compiler=$(compiler_)
  prefix=${CMAKE_PREFIX_PATH:-}
  for prefix in ${prefix//[:;]/ } "${Boost_ROOT:-}" "${cereal_ROOT:-}" "${fmt_ROOT:-}" \
    "${Catch2_ROOT:-}" "${PNG_ROOT:-}" "${HDF5_ROOT:-}"; do
    [ -n "$prefix" ] && places+=("-I$prefix/include")
  done
  for name in "$@"; do
    header=''
    case $name in
      compiler) [ -n "$compiler" ] && command -v "${compiler%% *}" >/dev/null || echo "$name" ;;
      make-tool) command -v ninja >/dev/null || command -v ninja-build >/dev/null || echo "$name" ;;
      pkg-config) command -v pkg-config >/dev/null || command -v pkgconf >/dev/null || echo "$name" ;;
      clang) command -v clang++-16 >/dev/null || echo "$name" ;;
      fuzzer)
        [ -n "$(find /usr/lib*/llvm-16/lib /usr/lib/clang/16 /usr/lib64/clang/16 \
          -name 'libclang_rt.fuzzer*' -print -quit 2>/dev/null)" ] &&
          command -v clang++-16 >/dev/null || echo "$name"
        ;;
      clang-tidy) command -v clang-tidy-16 >/dev/null || echo "$name" ;;
      cmake | gcovr | gnuplot | h5dump | spin) command -v "$name" >/dev/null || echo "$name" ;;
      cereal) header='<cereal/cereal.hpp>' ;;
      boost) header='<boost/interprocess/mapped_region.hpp>' ;;
      fmt) header='<fmt/format.h>' ;;
      catch2) header='<catch2/catch_all.hpp>|<catch2/catch.hpp>' ;;
      cli11) header='<CLI/CLI.hpp>' ;;
      json) header='<nlohmann/json.hpp>' ;;
      tbb) header='<tbb/parallel_for.h>' ;;
      png) header='<png.h>' ;;
      hdf5) header='<hdf5.h>|<hdf5/serial/hdf5.h>' ;;
      asio) header='<asio.hpp>' ;;
      *) die "no dependency is called $name" ;;
    esac
    if [ -n "$header" ]; then
      condition="__has_include(${header//|/) || __has_include(})"
      query+="#if !($condition)"$'\n'"missing $name"$'\n'"#endif"$'\n'
    fi
  done
  if [ -n "$query" ]; then
    if [ -n "$compiler" ]; then
      # shellcheck disable=SC2086 # CXX may be two words, such as "ccache g++"
      $compiler "${places[@]}" -x c++ -E -P - <<<"$query" | awk '/^missing / { print $2 }'
    else
      awk '/^missing / { print $2 }' <<<"$query"
    fi
  fi
}

check_versions_() {
  local compiler version
  compiler=$(compiler_)
  # shellcheck disable=SC2086
  version=$($compiler -x c++ -E -P - <<'PROBE' | tail -n 1
#if defined(__clang__)
clang __clang_major__ 16
#elif defined(__GNUC__)
g++ __GNUC__ 12
#endif
PROBE
  )
  # shellcheck disable=SC2086
  set -- $version
  if [ $# -eq 3 ] && [ "$2" -lt "$3" ]; then
    die "$compiler is $1 $2, and apalis needs $1 $3 or later. Set CXX to a newer one, such as CXX=$1-$3."
  fi
  version=$(cmake --version | awk 'NR == 1 { print $3 }')
  if [ "$(printf '%s\n' 3.22 "$version" | sort -V | head -n 1)" != 3.22 ]; then
    die "cmake is $version, and apalis needs 3.22 or later."
  fi
}

# --- What is installed ----------------------------------------------------------------------------

debian_packages_() {
  local name
  for name in "$@"; do
    case $name in
      compiler) echo g++ ;;
      make-tool) echo ninja-build ;;
      cereal) echo libcereal-dev ;;
      boost) echo libboost-dev ;;
      fmt) echo libfmt-dev ;;
      cli11) echo libcli11-dev ;;
      json) echo nlohmann-json3-dev ;;
      tbb) echo libtbb-dev ;;
      gnuplot) echo gnuplot-nox ;;
      png) echo libpng-dev ;;
      hdf5) echo libhdf5-dev ;;
      h5dump) echo hdf5-tools ;;
      asio) echo libasio-dev ;;
      clang) echo clang-16 ;;
      fuzzer) echo clang-16 libclang-rt-16-dev ;;
      clang-tidy) echo clang-tidy-16 ;;
      *) echo "$name" ;;
    esac
  done
}

packages_elsewhere_() {
  cat >&2 <<'EOT'
The packages, by distribution:
  Debian 12, Ubuntu 24.04 and later
                       g++ cmake ninja-build pkg-config libcereal-dev libboost-dev libfmt-dev
                       catch2 spin libpng-dev libhdf5-dev hdf5-tools libasio-dev libcli11-dev
                       nlohmann-json3-dev libtbb-dev gnuplot-nox
  Fedora               gcc-c++ cmake ninja-build pkgconf-pkg-config cereal-devel boost-devel
                       fmt-devel catch-devel libpng-devel hdf5-devel hdf5 asio-devel cli11-devel
                       json-devel tbb-devel gnuplot
  Arch                 gcc cmake ninja pkgconf cereal boost fmt catch2 libpng hdf5 asio
                       cli11 nlohmann-json onetbb gnuplot
  openSUSE             gcc-c++ cmake ninja pkgconf-pkg-config cereal-devel libboost_headers-devel
                       fmt-devel Catch2-devel libpng16-devel hdf5-devel hdf5 asio-devel
                       cli11-devel nlohmann_json-devel tbb-devel gnuplot
  Alpine               bash g++ linux-headers cmake samurai pkgconf cereal boost-dev fmt-dev catch2-3
                       libpng-dev hdf5-dev hdf5 asio-dev cli11 nlohmann-json onetbb-dev gnuplot
The last four of each list are for ./scripts/bench only, the last two of these for its --plot; those
before them (libpng, HDF5 and its h5dump, Asio) are for examples, which are left out without. Only
Debian and Ubuntu are known to have spin (elsewhere: https://spinroot.com); without it the tests leave
out the checking of the models. Only Debian 12 is tried regularly. Where a dependency lies elsewhere,
say so by CMAKE_PREFIX_PATH, Boost_ROOT, cereal_ROOT or fmt_ROOT.
EOT
}

# as_root COMMAND...: asks for a password only where someone can type it.
as_root_() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif ! command -v sudo >/dev/null; then
    return 1
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

apt_() {
  as_root_ env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" </dev/null
}

# --no-remove: what someone put here stays, even if it stands in the way.
install_() { apt_ install --no-install-recommends --no-remove "$@"; }

# ensure DEPENDENCY...: installs what is missing, or says what to install and ends.
ensure() {
  local list
  local -a missing packages
  list=$(missing_ "$@") || die "the compiler, $(compiler_), does not work (see above)."
  read -ra missing <<<"${list//$'\n'/ }"
  if [ "${#missing[@]}" -gt 0 ] && [ "${APALIS_NO_INSTALL:-0}" = 0 ]; then
    if ! command -v apt-get >/dev/null; then
      packages_elsewhere_
      die "missing here: ${missing[*]}. Install the packages listed above, then run this again."
    fi
    list=$(debian_packages_ "${missing[@]}")
    read -ra packages <<<"${list//$'\n'/ }"
    say "missing: ${missing[*]}; installing ${packages[*]}"
    if ! install_ "${packages[@]}" && ! { apt_ update && install_ "${packages[@]}"; }; then
      packages_elsewhere_
      die "could not install ${packages[*]} (see above; it takes root or sudo, and a network)." \
        "Install them by hand, then run this again."
    fi
    list=$(missing_ "$@")
    [ -z "$list" ] ||
      die "installed ${packages[*]}, and still can't find: ${list//$'\n'/ }. Does CXX look elsewhere?"
  fi
  if [ -z "$(compiler_)" ] || ! command -v cmake >/dev/null; then
    die "there is no C++ compiler or no cmake, and APALIS_NO_INSTALL forbids to install them."
  fi
  check_versions_
}

# want DEPENDENCY CONSEQUENCE: the same for what can be done without. Where it can't be had, says so
# and goes on.
want() {
  local package
  [ -n "$(missing_ "$1")" ] || return 0
  if [ "${APALIS_NO_INSTALL:-0}" = 0 ] && command -v apt-get >/dev/null; then
    package=$(debian_packages_ "$1")
    say "missing: $1; installing $package"
    install_ "$package" || { apt_ update && install_ "$package"; } || true
    [ -n "$(missing_ "$1")" ] || return 0
  fi
  say "there is no $1 here: $2"
}

# --- Building -------------------------------------------------------------------------------------

# build PRESET [TARGET...]: configures and builds in build/PRESET.
build() {
  local preset=$1 directory target
  local -a targets=()
  shift
  for target in "$@"; do targets+=(--target "$target"); done
  directory=$root/build/$preset
  # A checkout that was moved or copied: cmake refuses its old cache.
  if [ -f "$directory/CMakeCache.txt" ] &&
    ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$directory/CMakeCache.txt"; then
    say "$directory belongs to another checkout: made anew"
    rm -rf "$directory"
  fi
  # Both only have a say when a build directory is new.
  if [ -z "${CMAKE_GENERATOR:-}" ] &&
    { command -v ninja >/dev/null || command -v ninja-build >/dev/null; }; then
    export CMAKE_GENERATOR=Ninja
  fi
  if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER-ccache}
  fi
  say "configuring build/$preset"
  (cd "$root" && cmake --preset "$preset" --log-level=WARNING >/dev/null) ||
    die "cmake --preset $preset failed (see above)."
  say "building build/$preset"
  cmake --build "$directory" --parallel "$(jobs_)" "${targets[@]}"
}
