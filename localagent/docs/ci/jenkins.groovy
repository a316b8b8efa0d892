// Jenkins: a repair as a patch, on an agent without internet (a Jenkinsfile)
//
// The agent has localagent and a model, as `localagent docs ci` says, and the label "localagent".
pipeline {
    agent { label 'localagent' }
    options { timeout(time: 20, unit: 'MINUTES') }
    stages {
        stage('Repair') {
            steps {
                sh '''
                    mkdir -p reports
                    localagent ci "fix the failing tests" --yes --max-seconds 900 \
                        --junit reports/junit.xml --sarif reports/localagent.sarif \
                        --patch reports/fix.patch
                '''
            }
        }
    }
    post {
        always {
            junit 'reports/junit.xml'
            archiveArtifacts artifacts: 'reports/**'
        }
    }
}
