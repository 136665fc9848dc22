# Versions for `pillion version`: of the libraries whose headers do not tell, as the package manager
# knows them; and how we were built.
function(pillion_library_version folder package)
  find_program(PILLION_DPKG_QUERY dpkg-query)
  set(version "unknown")
  if(PILLION_DPKG_QUERY)
    execute_process(COMMAND ${PILLION_DPKG_QUERY} -W "-f=\${Version}" ${package}
      OUTPUT_VARIABLE found RESULT_VARIABLE failed ERROR_QUIET)
    if(NOT failed)
      string(REGEX REPLACE "[+-].*" "" version "${found}")
    endif()
  endif()
  set_source_files_properties(proxy/${folder}/version.cc PROPERTIES COMPILE_DEFINITIONS PILLION_LIBRARY_VERSION="${version}")
endfunction()
pillion_library_version(config libyaml-cpp-dev)
pillion_library_version(match libre2-dev)
pillion_library_version(stats prometheus-cpp-dev)

string(TOLOWER "${CMAKE_BUILD_TYPE}" build)
if(PILLION_SANITIZE)
  string(APPEND build ", sanitizers ${PILLION_SANITIZE}")
endif()
set_source_files_properties(proxy/cli/version.cc PROPERTIES COMPILE_DEFINITIONS PILLION_BUILD="${build}")
